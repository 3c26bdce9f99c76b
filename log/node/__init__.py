"""A node: several logs of one side, the witness that cosigns the other side, and the guard that watches both."""
