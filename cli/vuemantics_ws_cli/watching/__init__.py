"""The live tables on a terminal: what keys do, and when something is drawn."""
