"""Names of the single fills: apart from the fills themselves, because names are needed before anything is loaded."""

PATTERN = "pattern"
FILLS = ("surface", "navier-stokes", "local-surface", "wide-surface", "biharmonic", PATTERN, "telea")
