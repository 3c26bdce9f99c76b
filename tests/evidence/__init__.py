"""Evidence: each kind made, checked, damaged, and checked again by a script that shares no line with ours."""
