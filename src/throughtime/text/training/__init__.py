"""Training of text models with torch and Lightning. Nothing outside this package and `nn` imports torch."""
