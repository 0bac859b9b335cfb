"""Names of the single fills: apart from the fills themselves, because names are needed before anything is loaded."""

FILLS = ("surface", "navier-stokes", "local-surface", "wide-surface", "biharmonic", "pattern", "telea")
