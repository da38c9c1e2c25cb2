"""``python -m vuemantics_ws_cli`` is ``vuemantics-ws``."""

import sys

from vuemantics_ws_cli.app import main

if __name__ == "__main__":
    sys.exit(main())
