"""``python -m lumosx_core.media.batch``, the former name of ``python -m lumosx_core.runner``, for one release."""

import sys

from ..runner.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
