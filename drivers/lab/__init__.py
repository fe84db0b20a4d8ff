"""The embedded lab: two hosts, a switch, a client and shared storage, made of namespaces on one machine."""
