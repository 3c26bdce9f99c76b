"""HTTP: parse, call one method of the node, encode. Decisions live below, status codes in one table.

edge.py       the ASGI callable: hot routes by one table, everything else handed to FastAPI
app.py        `create_app`, and the cold routes
described.py  FastAPI: finds the cold routes, describes all, imported when it is first needed
front.py      what surrounds every handler: access, limits, errors, counters
handlers_*    the routes, five to ten lines each
served.py     what HTTP asks of a node, as protocols
"""
