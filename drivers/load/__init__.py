"""The load generator: Locust as a process of its own, sent to where it runs as it stands.

Of what is sent only `schedule` is imported by the controller, since it needs no gevent. `reading` makes series of what
was written.
"""
