"""The embedded PanDA-compatible server for one host: store, calls, adder, watcher, and our own calls for people."""
