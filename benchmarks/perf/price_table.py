"""The table of docs/howto/which-gpu.md: what `discl plan --gpu` says of benchmarks and GPUs.

python benchmarks/perf/price_table.py           # print it; half a minute
python benchmarks/perf/price_table.py --write   # put it into the page
"""

from __future__ import annotations

from pathlib import Path

import click

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "which-gpu.md"
BEGIN, END = "<!-- table: python benchmarks/perf/price_table.py --write -->", "<!-- end -->"
GPUS = ("h200", "a100", "rtx4090", "l4")
ROWS = (
    ("iwildcam", "its own: SDXL's refiner", []),
    ("iwildcam", "sd-turbo", ["generator.preset=sd-turbo"]),
    ("iwildcam", "sd15", ["generator.preset=sd15"]),
    ("iwildcam", "sdxl", ["generator.preset=sdxl"]),
    ("imagenet_lt", "its own: SDXL's refiner", []),
    ("imagenet_lt", "sd-turbo", ["generator.preset=sd-turbo"]),
    ("cifar100_lt", "its own: SDXL's refiner", []),
    ("cifar100_lt", "sd-turbo", ["generator.preset=sd-turbo"]),
)


def table() -> str:
    """Lines of Markdown: bank and training of each benchmark at scale paper, on one GPU."""
    from discl.cli.render.price import hours
    from discl.config.load import load
    from discl.harness.price.estimate import PricedPlan, price
    from discl.harness.price.gpus import find_gpu

    def cell(plan: PricedPlan) -> str:
        bank, training = plan.bank, plan.training
        if bank is None or training is None:
            return "unknown"
        room = plan.gpu.memory_bytes
        large = [
            f"{key} {most}"
            for key, held, most in (
                ("chunk", bank.memory_bytes, bank.largest_chunk),
                ("batch", training.memory_bytes, training.largest_batch),
            )
            if held > room
        ]
        money = f", {plan.cost}" if plan.cost else ""
        fits = f" (does not fit: {', '.join(large)} would)" if large else ""
        return f"{hours(bank.hours)} + {hours(training.hours)}{money}{fits}"

    columns = ["benchmark", "generator", "images", "GB: images, training", *GPUS, "loop, h200"]
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    for bench, generator, settings in ROWS:
        spec = load(bench, "paper", settings)
        plans = [price(spec, find_gpu(name)) for name in GPUS]
        bank, training = plans[0].bank, plans[0].training
        if bank is None or training is None:
            raise click.ClickException(f"{bench}, {generator}: {'; '.join(plans[0].unknown)}")
        held = f"{bank.memory_bytes / 1e9:.0f}, {training.memory_bytes / 1e9:.0f}"
        cells = [cell(plan) for plan in plans]
        lines.append(
            f"| {bench} | {generator} | {bank.images:,} | {held} | {' | '.join(cells)}"
            f" | {hours(bank.loop_hours)} |"
        )
    return "\n".join(lines)


def on_page(text: str, lines: str) -> str:
    """The page with the table between its two comments."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{lines}\n\n{END}{rest.partition(END)[2]}"


@click.command()
@click.option("--write", is_flag=True, help="Put it into the page.")
def main(write: bool) -> None:
    """Print the table, or put it into the page."""
    lines = table()
    if write:
        PAGE.write_text(on_page(PAGE.read_text("utf-8"), lines), "utf-8")
    else:
        click.echo(lines)


if __name__ == "__main__":
    main()
