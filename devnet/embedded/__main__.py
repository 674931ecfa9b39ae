"""`python -m devnet.embedded`."""

import sys

from devnet.embedded.process import main

sys.exit(main(sys.argv[1:]))
