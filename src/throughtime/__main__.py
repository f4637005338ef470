"""`python -m throughtime`."""

import sys

from throughtime.cli.main import main

sys.exit(main())
