"""Python as it is where the native extension could not be built.

With this folder on PYTHONPATH, Python runs this file whenever it starts: in the tests, in the nodes that they
start, and in the workers of those.
"""

import sys

sys.modules["mandorla_protocol._native"] = None  # an import of it fails, as where there is none
