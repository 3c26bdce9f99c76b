"""What a monitor serves: one FastAPI application out of routers, each of which calls objects that live elsewhere.

app     the routers in one application; bounds, errors
bounds  how many requests are answered at a time
serve   the server, in the loop of the monitor
copies  the verified copy of each log
gossip  observations, evidence, what we cosigned last
gate    who may read what concerns organisations
health  whether this monitor is well
metrics the same and more, as numbers for Prometheus
page    one page for people, and the findings
"""
