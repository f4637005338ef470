"""`throughtime recipe`: the configurations that come with the package."""

from typing import Annotated

import typer

recipe_app = typer.Typer(help="Show the recipes, to copy and change.", no_args_is_help=True)


@recipe_app.command("show")
def show(name: Annotated[str, typer.Argument(help="Name of the recipe, as `recipe list` prints it.")]) -> None:
    """Print a recipe as YAML with comments: `recipe show default > mine.yaml`, then `train --config mine.yaml`."""
    from throughtime.text.recipe import recipe_text

    typer.echo(recipe_text(name), nl=False)


@recipe_app.command("list")
def list_recipes() -> None:
    """Name all recipes, a line each."""
    from throughtime.text.recipe import load_recipe, recipe_names

    for name in recipe_names():
        typer.echo(f"{name:<14} {load_recipe(name).description}")
