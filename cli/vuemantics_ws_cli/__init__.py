"""The command line of vuemantics-ws: it parses, calls the library, and hands what comes back to a view."""
