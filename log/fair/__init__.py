"""PURE: how what is scarce is shared out, so that nobody's storm is everybody's.

`rates` bounds how often a source may come, `shares` how much it may hold at once, `abreast` how much of it is under
way while others come too, `turns` who is next. A source is a client (an address) or an issuer (the key that signed a
leaf); what these are, callers know.
"""
