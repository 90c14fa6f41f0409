"use strict";
(() => {
  const told = JSON.parse(document.getElementById("facts").textContent);
  const opened = ({ fields, rows }) => rows.map((row) => Object.fromEntries(fields.map((name, place) => [name, row[place]])));
  const benches = [...document.querySelectorAll("section.bench")].map((section, place) => ({
    section, ...told.benches[place],
    tables: Object.fromEntries(Object.entries(told.benches[place].tables).map(([name, table]) => [name, opened(table)])),
    hidden: new Set(), views: [], drawn: false,
  }));
  const each = (bench, selector, act) => bench.section.querySelectorAll(selector).forEach(act);
  const CONFIG = {
    aria: false, background: null, font: "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif",
    view: { stroke: null },
    axis: {
      labelColor: "var(--ink)", titleColor: "var(--quiet)", gridColor: "var(--edge)", domainColor: "var(--edge)", tickColor: "var(--edge)",
      labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, titlePadding: 8, labelPadding: 5, domain: false, tickCount: 6, labelOverlap: true, labelSeparation: 8,
    },
  };

  // ---------------------------------------------------------------- what is chosen

  const shown = (bench, row, by) => by.every((name) => row[name] === bench.choice[name]) && !bench.hidden.has(row.strategy);

  function follow(bench) {
    each(bench, "[data-says]", (word) => {
      const value = bench.choice[word.dataset.says];
      word.textContent = word.dataset.says === "metric" ? bench.titles[value] : value;
    });
    each(bench, ".answer, .power", (one) => { one.hidden = one.dataset.metric !== bench.choice.metric; });
    each(bench, "tr[data-strategy], .one[data-strategy], .key [data-strategy]", (row) => {
      const { strategy, metric, baseline } = row.dataset;
      row.hidden = bench.hidden.has(strategy) || (metric !== undefined && metric !== bench.choice.metric) ||
        (baseline !== undefined && baseline !== bench.choice.baseline);
    });
    for (const { view, chart } of bench.views) {
      for (const name of chart.by) view.signal(name, bench.choice[name]);
      if (!chart.each) view.signal("hidden", [...bench.hidden]);
      if (chart.row) view.height(height(bench, chart));
      view.runAsync().catch(console.error);
    }
    each(bench, "details.numbers[open]", (details) => write(bench, details));
  }

  // ---------------------------------------------------------------- charts

  const height = (bench, chart) => chart.row * Math.max(1, bench.tables[chart.id].filter((row) => shown(bench, row, chart.by)).length);

  async function draw(bench) {
    if (bench.drawn) return;
    bench.drawn = true;
    for (const chart of bench.charts) {
      for (const plot of bench.section.querySelectorAll(`[data-chart="${chart.id}"] .plot`)) await embed(bench, chart, plot);
    }
    bench.section.dataset.drawn = "all";
  }

  function inside(plot) {  // a chart is one picture with a name; of its thousand parts nothing is read out
    const place = document.createElement("div");
    place.setAttribute("aria-hidden", "true");
    plot.replaceChildren(place);
    return place;
  }

  async function embed(bench, chart, plot) {
    const spec = structuredClone(chart.spec), which = plot.dataset.which;
    const rows = bench.tables[chart.id];
    spec.datasets = { [chart.id]: structuredClone(which === undefined ? rows : rows.filter((row) => row.strategy === which)) };
    const values = { ...bench.choice, hidden: [...bench.hidden], which };
    for (const param of spec.params ?? []) param.value = values[param.name];
    if (chart.row) spec.height = height(bench, chart);
    try {
      const made = await vegaEmbed(inside(plot), spec, {
        actions: false, renderer: "svg", ast: true, config: CONFIG, defaultStyle: false, tooltip: { disableDefaultStyle: true },
      });
      made.view.logLevel(1);  // errors: from here on a chart may be empty, since everything in it can be hidden
      bench.views.push({ view: made.view, chart });
    } catch (error) {
      console.error(chart.id, error);
    }
  }

  // ---------------------------------------------------------------- the numbers of a chart

  const MOST = 500;
  const said = (value) => value === null || value === undefined ? "–" : typeof value === "number" ? String(+value.toPrecision(4)) : value;

  function write(bench, details) {
    const chart = bench.charts.find(({ id }) => id === details.closest("[data-chart]").dataset.chart);
    const rows = bench.tables[chart.id].filter((row) => shown(bench, row, chart.by));
    const table = document.createElement("table"), fields = Object.entries(chart.columns);
    table.className = "data";
    const head = table.createTHead().insertRow();
    for (const [, title] of fields) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = title;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const row of rows.slice(0, MOST)) {
      const line = body.insertRow();
      for (const [field] of fields) line.insertCell().textContent = said(row[field]);
    }
    if (rows.length > MOST) table.createCaption().textContent = `the first ${MOST} of ${rows.length} rows`;
    details.querySelector(".scroll").replaceChildren(table);
    watch(details.querySelector(".scroll"));
  }

  // ---------------------------------------------------------------- tables wider than the page

  const HINT = "Scrolls sideways: swipe, or use the arrow keys, to see every column.";

  function hint(box) {  // says so below a table that is cut off
    const cut = box.scrollWidth > box.clientWidth + 1, next = box.nextElementSibling;
    const said = next?.classList.contains("more") ? next : null;
    box.classList.toggle("cut", cut);
    if (cut && !said) {
      const line = document.createElement("p");
      line.className = "more";
      line.textContent = HINT;
      box.after(line);
    } else if (!cut && said) said.remove();
  }

  const watcher = new ResizeObserver((entries) => new Set(entries.map(({ target }) => target.closest(".scroll"))).forEach((box) => box && hint(box)));
  const watch = (box) => { watcher.observe(box); [...box.children].forEach((child) => watcher.observe(child)); };

  // ---------------------------------------------------------------- sorting

  function sort(button) {
    const head = button.closest("th"), table = head.closest("table"), column = head.cellIndex, words = button.dataset.sort === "text";
    const now = head.getAttribute("aria-sort");
    const way = now ? (now === "descending" ? "ascending" : "descending") : words || column === 0 ? "ascending" : "descending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", way);
    const sign = way === "ascending" ? 1 : -1;
    const key = (row) => {
      const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent.trim();
      return words ? text : text === "" ? NaN : Number(text);
    };
    const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
    rows.sort(([a], [b]) => words ? sign * a.localeCompare(b) : Number.isNaN(a) - Number.isNaN(b) || sign * (a - b) || 0);
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }

  // ---------------------------------------------------------------- light and dark, tabs

  const theme = document.getElementById("theme"), dark = matchMedia("(prefers-color-scheme: dark)");
  const remembered = (value) => {  // a page from disk may have nothing to remember in
    try { return value === undefined ? localStorage.getItem("discl-theme") : localStorage.setItem("discl-theme", value); } catch { return null; }
  };
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `${theme.textContent} colours`); };
  if (["light", "dark"].includes(remembered())) document.documentElement.dataset.theme = remembered();
  theme.hidden = false;
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    remembered(document.documentElement.dataset.theme);
    name();
  });
  dark.addEventListener("change", name);
  name();

  function turn() {
    const wanted = decodeURIComponent(location.hash.slice(1)), place = benches.findIndex(({ section }) => section.id === wanted);
    const now = benches[place] ?? ((wanted && benches.find((bench) => bench.drawn && !bench.section.hidden)) || benches[0]);
    for (const bench of benches) bench.section.hidden = bench !== now;
    document.querySelectorAll("[data-tab]").forEach((link) => {
      link.dataset.tab === now.section.id ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    });
    if (now.drawn) dispatchEvent(new Event("resize"));  // its window may have changed while it was away
    draw(now);
  }

  for (const bench of benches) {
    each(bench, "select[data-choice]", (select) => {
      bench.choice[select.dataset.choice] = select.value;
      select.addEventListener("change", () => { bench.choice[select.dataset.choice] = select.value; follow(bench); });
    });
    each(bench, ".chip input", (box) => {
      box.checked = true;
      box.addEventListener("change", () => { box.checked ? bench.hidden.delete(box.value) : bench.hidden.add(box.value); follow(bench); });
    });
    each(bench, ".scroll", watch);
    each(bench, "[data-sort]", (button) => button.addEventListener("click", () => sort(button)));
    each(bench, "details.numbers", (details) => details.addEventListener("toggle", () => { if (details.open) write(bench, details); }));
    if (matchMedia("(max-width: 40rem)").matches) each(bench, ".who", (who) => { who.open = false; });
    follow(bench);
  }
  addEventListener("hashchange", turn);
  turn();
})();
