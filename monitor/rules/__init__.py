"""Judging: what a certificate should not be (domain.md §3), and who asked to be told of it.

PURE, all of it: certificates, lists, dates and look-ups come in, hits go out. In reading order:

    table      the 45 rules as data: code, severity, what a rule needs, and whether it is judged here
    limits     the numbers that rules rest on, each with its source and the date from which it holds
    reading    names, keys and usages out of DER that may be odd
    case       what is judged: one certificate with its issuers, the lists, the log's facts
    profile    P rules that need the certificate and its chain
    scope      P and J rules that need trust lists
    indexed    rules that need what was logged before
    engine     all rules over a case; one that raises is disabled, the others go on
    watchlist  names, organisations and keys that somebody watches
"""
