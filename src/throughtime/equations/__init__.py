"""The reference: recurrent layers in NumPy float64, with plain loops and back-propagation through time derived by hand.

Written to be read beside docs/derivations/, whose equation numbers the comments cite, and to judge every other
implementation in this package. Nothing in production imports it.
"""

from throughtime.equations.embedding import embed, embed_back
from throughtime.equations.error import regularised_error, regularised_error_gradients
from throughtime.equations.output import Projection, project, project_back
from throughtime.equations.stack import Gradients, Trace, backward, forward

__all__ = [
    "Gradients",
    "Projection",
    "Trace",
    "backward",
    "embed",
    "embed_back",
    "forward",
    "project",
    "project_back",
    "regularised_error",
    "regularised_error_gradients",
]
