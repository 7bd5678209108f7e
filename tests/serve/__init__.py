"""The REST interface, over real sockets."""
