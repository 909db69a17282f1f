"""Reports: figures of a ledger over a period as one page of HTML and SVG, as a picture and as CSV."""
