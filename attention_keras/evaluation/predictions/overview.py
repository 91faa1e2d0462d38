"""All answers in a folder on one page: drawings that can be sorted, and filtered by class and probability."""

import json
from pathlib import Path

from attention_keras.evaluation.predictions.record import read_rows
from attention_keras.runs.durable import write_whole, writing_to

OVERVIEW = "index.html"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Predictions</title><style>
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1rem; max-width: 100rem; font: 15px/1.4 system-ui, sans-serif; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1.2rem; align-items: center; margin-bottom: 1rem; }
select, input, button { font: inherit; } input[type=number] { width: 4.5rem; }
#answers { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 28rem), 1fr)); }
figure { margin: 0; } figcaption { overflow-wrap: anywhere; }
img { width: 100%; min-height: 6rem; background: #fff; border: 1px solid #8888; border-radius: 4px; }
</style></head><body><form>
<label>class <select id="class"><option value="">all</option></select></label>
<label>probability from <input id="low" type="number" min="0" max="1" step="0.05" value="0"></label>
<label>to <input id="high" type="number" min="0" max="1" step="0.05" value="1"></label>
<label>sort by <select id="sort"><option value="path">file</option><option value="class">class</option>
<option value="least">least probable first</option>
<option value="most">most probable first</option></select></label>
<output id="count"></output></form>
<div id="answers"></div><p><button id="more" hidden>more</button></p>
<script type="application/json" id="rows">ROWS</script><script>
const rows = JSON.parse(document.getElementById("rows").textContent).map(
  ([path, name, probability, drawing, reason]) => ({path, name, probability, drawing, reason}));
const at = id => document.getElementById(id), text = (a, b) => a < b ? -1 : a > b ? 1 : 0;
const orders = {path: (a, b) => text(a.path, b.path),
  class: (a, b) => text(a.name || "", b.name || "") || b.probability - a.probability,
  least: (a, b) => a.probability - b.probability, most: (a, b) => b.probability - a.probability};
let chosen = [], shown = 0;
const names = new Set(rows.map(row => row.name || "not read"));
for (const name of [...names].sort()) at("class").add(new Option(name));
function more() {
  for (const row of chosen.slice(shown, shown += 60)) {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    if (row.drawing) {
      const link = document.createElement("a"), image = document.createElement("img");
      link.href = image.src = row.drawing; image.loading = "lazy"; image.alt = row.name;
      link.append(image); figure.append(link);
    }
    const said = row.reason || row.name + " (" + Math.round(100 * row.probability) + "%)";
    caption.textContent = row.path + ": " + said;
    figure.append(caption); at("answers").append(figure);
  }
  at("more").hidden = shown >= chosen.length;
}
function show() {
  const name = at("class").value, low = +at("low").value, high = +at("high").value;
  chosen = rows.filter(row => (!name || (row.name || "not read") === name)
    && (row.reason || (row.probability >= low && row.probability <= high)));
  chosen.sort(orders[at("sort").value]);
  at("count").textContent = chosen.length + " of " + rows.length + " images";
  at("answers").replaceChildren(); shown = 0; more();
}
document.forms[0].addEventListener("input", show);
document.forms[0].addEventListener("submit", event => event.preventDefault());
at("more").addEventListener("click", more);
show();
</script></body></html>
"""


def write_overview(folder: Path) -> Path:
    """Write `index.html` of all records in a folder, those of other shards too."""
    rows = [
        [row["path"], row["class"], row["probability"] or 0.0, row["drawing"], row["reason"]]
        for record in sorted(folder.glob("predictions*.jsonl"))
        for row in read_rows(record)
    ]
    # Inside a script nothing but "</" ends it; a name's odd bytes are shown as question marks.
    data = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    with writing_to(folder):
        path = folder / OVERVIEW
        write_whole(path, _PAGE.replace("ROWS", data, 1).encode(errors="replace"))
    return path
