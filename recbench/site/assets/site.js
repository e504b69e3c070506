// The site's only script. It works on pages opened from a file, and loads nothing from elsewhere.
"use strict";

(() => {
  const root = document.documentElement;
  const SVG = "http://www.w3.org/2000/svg";
  const NDCG = "NDCG@10";
  const THEME = "recbench-theme";
  const MATRIX = 30; // rows of the matrix: a person reads no more

  root.classList.add("scripted");

  // ---- small helpers -----------------------------------------------------------------------------------------------

  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  function el(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  function svg(name, attributes, ...children) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  const figure = (value) =>
    Math.abs(value) < 10
      ? value.toFixed(4)
      : value.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(4);
  const pText = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(3));
  const counted = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

  // ---- light and dark ------------------------------------------------------------------------------------------------

  function remembered() {
    try {
      return localStorage.getItem(THEME);
    } catch {
      return null; // a page opened from a file may be given no storage
    }
  }

  function remember(theme) {
    try {
      localStorage.setItem(THEME, theme);
    } catch {
      // the choice holds for this page alone
    }
  }

  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();

  function themeButton(button) {
    const dark = () =>
      root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    const show = () => (button.textContent = dark() ? "Light" : "Dark");
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      remember(root.dataset.theme);
      show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    show();
  }

  // ---- data that a page loads when asked -----------------------------------------------------------------------------

  const found = new Map();
  const asked = new Map();

  const put = (key, value) => found.set(key, value);

  // a script element, since a page opened from a file may fetch nothing
  function load(address, key) {
    if (!asked.has(address)) {
      asked.set(
        address,
        new Promise((resolve, reject) => {
          const script = el("script", { src: address });
          script.addEventListener("load", () =>
            found.has(key) ? resolve(found.get(key)) : reject(new Error(`${address} holds something else`)),
          );
          script.addEventListener("error", () => reject(new Error(`${address} could not be loaded`)));
          document.head.append(script);
        }),
      );
    }
    return asked.get(address);
  }

  function numbers(base64, Kind) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return new Kind(bytes.buffer);
  }

  // ---- one comparison, as recbench.stats makes it ---------------------------------------------------------------------

  const SEED = 20261122;
  const RESAMPLES = 9999;
  const Z = 1.959963984540054;

  function generator(seed) {
    // mulberry32
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return (mixed ^ (mixed >>> 14)) >>> 0;
    };
  }

  function logGamma(x) {
    // Stirling's series, after shifting x to where it is exact
    let shift = 0;
    for (; x < 10; x += 1) shift += Math.log(x);
    const x2 = x * x;
    const series = 1 / (12 * x) - 1 / (360 * x * x2) + 1 / (1260 * x * x2 * x2);
    return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - shift;
  }

  // the t distribution's quantile at .975: Simpson's rule for the distribution, then bisection
  function tQuantile(freedom) {
    const scale =
      Math.exp(logGamma((freedom + 1) / 2) - logGamma(freedom / 2)) / Math.sqrt(freedom * Math.PI);
    const density = (x) => scale * Math.exp((-(freedom + 1) / 2) * Math.log1p((x * x) / freedom));
    const below = (x) => {
      const n = 2000;
      let sum = density(0) + density(x);
      for (let i = 1; i < n; i += 1) sum += density((x * i) / n) * (i % 2 ? 4 : 2);
      return (sum * x) / n / 3;
    };
    let [low, high] = [1, 15];
    for (let i = 0; i < 50; i += 1) {
      const middle = (low + high) / 2;
      if (below(middle) < 0.475) low = middle;
      else high = middle;
    }
    return low;
  }

  function quantile(sorted, share) {
    const place = (sorted.length - 1) * share;
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
  }

  function permutationP(differences) {
    const differing = differences.filter((value) => value !== 0);
    const k = differing.length;
    if (k < 2) return 1;
    const size = Math.max(...differing.map(Math.abs));
    const observed = Math.abs(differing.reduce((sum, value) => sum + value, 0)) - 1e-12 * differences.length * size;
    let reached = 0;
    if (2 ** k <= RESAMPLES + 1) {
      for (let pattern = 0; pattern < 2 ** k; pattern += 1) {
        let sum = 0;
        for (let i = 0; i < k; i += 1) sum += (pattern >> i) & 1 ? -differing[i] : differing[i];
        reached += Math.abs(sum) >= observed;
      }
      return reached / 2 ** k;
    }
    const next = generator(SEED);
    for (let draw = 0; draw < RESAMPLES; draw += 1) {
      let sum = 0;
      let bits = 0;
      for (let i = 0; i < k; i += 1) {
        if (i % 32 === 0) bits = next();
        sum += (bits >>> i % 32) & 1 ? -differing[i] : differing[i];
      }
      reached += Math.abs(sum) >= observed;
    }
    return (reached + 1) / (RESAMPLES + 1);
  }

  // bootstrap over users, widened by sqrt(U / (U - 1)) and from the normal to the t distribution
  function bootstrapInterval(differences, counts) {
    const users = differences.length;
    if (users < 2) return null;
    const total = counts.reduce((sum, value) => sum + value, 0);
    const estimate = differences.reduce((sum, value) => sum + value, 0) / total;
    const squares = Array.from(differences, (value, i) => (value - estimate * counts[i]) ** 2);
    const sum = squares.reduce((a, b) => a + b, 0);
    const heavy = squares.reduce((a, b) => a + b * b, 0) - sum ** 2 / users;
    const freedom = heavy > 0 ? Math.max(1, Math.min(users - 1, (2 * sum ** 2) / heavy)) : users - 1;
    const wider = (Math.sqrt(users / (users - 1)) * tQuantile(freedom)) / Z;
    const next = generator(SEED + 1);
    const moved = new Float64Array(RESAMPLES);
    for (let draw = 0; draw < RESAMPLES; draw += 1) {
      let above = 0;
      let below = 0;
      for (let i = 0; i < users; i += 1) {
        const user = Math.floor((next() / 4294967296) * users);
        above += differences[user];
        below += counts[user];
      }
      moved[draw] = above / below - estimate;
    }
    moved.sort();
    return [estimate + wider * quantile(moved, 0.025), estimate + wider * quantile(moved, 0.975)];
  }

  function compare(a, b, counts) {
    // rounding next to 0 is a tie
    const differences = Array.from(a, (value, i) =>
      Math.abs(value - b[i]) < 1e-12 * counts[i] ? 0 : value - b[i],
    );
    const sum = (values) => values.reduce((total, value) => total + value, 0);
    return {
      difference: sum(differences) / sum(counts),
      p: permutationP(differences),
      interval: bootstrapInterval(differences, counts),
      higher: differences.filter((value) => value > 0).length,
      equal: differences.filter((value) => value === 0).length,
      lower: differences.filter((value) => value < 0).length,
      byUser: sum(differences.map((value, i) => value / counts[i])) / differences.length,
    };
  }

  // ---- bars ----------------------------------------------------------------------------------------------------------

  const BAR = { width: 120, height: 18, edge: 5 };

  const median = (values) => quantile([...values].sort((a, b) => a - b), 0.5);

  // the scale of a column of intervals: a row far from the others does not squeeze them
  function scaleOf(intervals, among) {
    const middle = median(intervals.map(([low, high]) => (low + high) / 2));
    const reach = 1.3 * median(intervals.map(([low, high]) => high - low)) || Infinity;
    const ends = [...intervals.flat(), ...among];
    return [
      Math.max(Math.min(...ends), Math.min(middle - reach, ...among)),
      Math.min(Math.max(...ends), Math.max(middle + reach, ...among)),
    ];
  }

  function bar(scale, interval, middle, dots, zero) {
    const [low, high] = scale;
    const inside = (value) => Math.min(high, Math.max(low, value));
    const at = (value) =>
      (BAR.edge + ((inside(value) - low) / (high - low || 1)) * (BAR.width - 2 * BAR.edge)).toFixed(1);
    const parts = [];
    if (middle < low || middle > high) {
      const edge = middle < low ? `M8 4L2 9L8 14` : `M${BAR.width - 8} 4L${BAR.width - 2} 9L${BAR.width - 8} 14`;
      parts.push(svg("path", { d: edge, class: "beyond" }));
      return svg("svg", { viewBox: `0 0 ${BAR.width} ${BAR.height}`, class: "bar", "aria-hidden": "true" }, ...parts);
    }
    if (zero) parts.push(svg("line", { x1: at(0), x2: at(0), y1: 1, y2: 17, class: "zero" }));
    if (interval) {
      const [from, to] = interval.map(at);
      parts.push(svg("rect", { x: from, y: 5, width: Math.max(1, to - from), height: 8, rx: 4, class: "interval" }));
    }
    parts.push(svg("line", { x1: at(middle), x2: at(middle), y1: 3, y2: 15, class: "mean" }));
    for (const dot of dots) parts.push(svg("circle", { cx: at(dot), cy: 9, r: 1.9, class: "seed" }));
    return svg("svg", { viewBox: `0 0 ${BAR.width} ${BAR.height}`, class: "bar", "aria-hidden": "true" }, ...parts);
  }

  // ---- a test set ----------------------------------------------------------------------------------------------------

  function testSet(section) {
    const data = JSON.parse(section.querySelector(".board-data").textContent);
    const table = section.querySelector("table.board");
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...body.rows];
    const key = `../${data.file.replace(/^\.\.\//, "")}`;
    const state = { view: data.view, part: 0, chosen: [], sorted: "rank" };
    const columnOf = (name) => heads.findIndex((head) => head.dataset.c === name);
    const rest = () => load(data.file, key);

    // -- what the cells show

    // the page comes with the numbers of all cases, and without bars
    function drawMetrics(names = heads.map((head) => head.dataset.c ?? "").filter((name) => name.startsWith("m:"))) {
      const scale = scaleOf(
        state.view.rows.filter(Boolean).map((row) => (row.i[0] === null ? [row.m[NDCG][0], row.m[NDCG][0]] : row.i)),
        [],
      );
      names.forEach((name) => {
        const column = columnOf(name);
        rows.forEach((row, number) => {
          const known = state.view.rows[number]?.m[name.slice(2)];
          const cell = row.cells[column];
          if (!known) {
            delete cell.dataset.v;
            cell.replaceChildren("–");
            return;
          }
          const [mean, sd] = known;
          cell.dataset.v = mean;
          cell.replaceChildren(el("b", {}, figure(mean)), el("small", {}, sd === null ? "" : `±${figure(sd)}`));
          if (name !== `m:${NDCG}`) return;
          const { i: interval, s: seeds } = state.view.rows[number];
          const known95 = interval[0] !== null;
          cell.append(bar(scale, known95 ? interval : null, mean, seeds.length > 1 ? seeds : [], false));
          const said = known95 ? `95 %: ${figure(interval[0])} to ${figure(interval[1])}` : "no interval";
          cell.append(el("span", { class: "vh" }, said));
          cell.title = `${said}; seeds ${seeds.map(figure).join(", ")}`;
        });
      });
    }

    function drawDifferences() {
      const column = columnOf("vs best");
      const known = data.best.filter(Boolean);
      if (column < 0 || !known.length) return;
      const scale = scaleOf(known.map((d) => d.slice(1)), [0]);
      rows.forEach((row, number) => {
        const best = data.best[number];
        if (best) row.cells[column].append(bar(scale, best.slice(1), best[0], [], true));
      });
    }

    // -- order

    function sortBy(head, direction) {
      const column = heads.indexOf(head);
      const ranked = head.classList.contains("n");
      const sign = direction === "ascending" ? 1 : -1;
      const value = (row) => row.cells[column].dataset.v;
      const order = [...rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        return sign * (ranked ? x - y : x.localeCompare(y)) || a.dataset.row - b.dataset.row;
      });
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", direction);
      body.append(...order);
      state.sorted = head.dataset.c;
      separate();
    }

    // lines between the groups make sense only where the rows stand in the order of the groups
    function separate() {
      const head = heads.find((one) => one.hasAttribute("aria-sort"));
      const whole = state.part === 0 && ["rank", "place"].includes(head.dataset.c);
      table.classList.toggle("ranked", whole && head.getAttribute("aria-sort") === "ascending");
    }

    heads.forEach((head) => {
      head.querySelector("button")?.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const other = { ascending: "descending", descending: "ascending" };
        sortBy(head, now ? other[now] : head.dataset.first);
      });
    });

    // -- which rows

    const search = section.querySelector(".filter");
    const selects = all("select[data-of]", section);
    const count = section.querySelector(".count");
    const told = rows.map((row) =>
      ["method", "loss", "decoder", "llm"]
        .map((name) => row.cells[columnOf(name)]?.textContent ?? "")
        .join(" ")
        .toLowerCase(),
    );

    function filter() {
      const words = (search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row, number) => {
        const fits =
          words.every((word) => told[number].includes(word)) &&
          selects.every((one) => !one.value || row.dataset[one.dataset.of] === one.value);
        row.hidden = !fits;
      });
      const shown = rows.filter((row) => !row.hidden);
      all(".point", section).forEach((point) => {
        point.classList.toggle("off", rows[point.dataset.row - 1].hidden);
      });
      say(shown.length);
      drawMatrix();
    }

    function say(shown) {
      const part = state.part
        ? ` ${state.view.name}: ${counted(state.view.cases, "case")} of ${counted(state.view.users, "user")}; place and ` +
          "differences stay those of all cases."
        : "";
      count.textContent = rows.length > 1 || part ? `${shown} of ${counted(rows.length, "row")}.${part}` : "";
    }

    search?.addEventListener("input", filter);
    selects.forEach((one) => one.addEventListener("change", filter));

    // -- parts of the test set

    const parts = all(".parts button", section);
    parts.forEach((button) =>
      button.addEventListener("click", async () => {
        const part = Number(button.dataset.part);
        try {
          state.view = part ? (await rest()).parts[part - 1] : data.view;
        } catch (error) {
          count.textContent = error.message;
          return;
        }
        state.part = part;
        parts.forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
        drawMetrics();
        const head = heads.find((one) => one.hasAttribute("aria-sort"));
        sortBy(head, head.getAttribute("aria-sort"));
        filter();
      }),
    );

    // -- columns

    all(".columns input", section).forEach((box) => {
      const column = columnOf(box.value);
      const apply = () => {
        for (const row of [table.tHead.rows[0], ...rows]) row.cells[column].hidden = !box.checked;
      };
      box.addEventListener("change", apply);
      if (box.value === "decoder" && matchMedia("(max-width: 640px)").matches) {
        box.checked = false; // a phone shows the numbers first
        apply();
      }
    });

    // a menu closes as menus do
    all(".columns", section).forEach((menu) => {
      document.addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
      menu.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        menu.open = false;
        menu.querySelector("summary").focus();
      });
    });

    // -- every pair

    const n = rows.length;
    const place = (i, j) => i * n - (i * (i + 1)) / 2 + (j - i - 1);

    function markOf(i, j) {
      const mark = i < j ? data.marks[place(i, j)] : { ">": "<", "<": ">", "=": "=" }[data.marks[place(j, i)]];
      return mark;
    }

    function drawMatrix() {
      const box = section.querySelector(".matrix");
      if (!box) return;
      const shown = rows.map((row, number) => number).filter((number) => !rows[number].hidden).slice(0, MATRIX);
      const mean = (number) => data.view.rows[number].m[NDCG][0];
      const head = el("tr", {}, el("td"), ...shown.map((j) => el("th", { scope: "col", title: data.names[j] }, String(j + 1))));
      const lines = shown.map((i) => {
        const cells = shown.map((j) => {
          if (i === j) return el("td", { class: "self" }, "·");
          const kind = { ">": "up", "<": "down", "=": "even" }[markOf(i, j)];
          const words = { up: "shown to be higher", down: "shown to be lower", even: "no difference shown" }[kind];
          const text = Math.round((mean(i) - mean(j)) * 1e4);
          const cell = el(
            "td",
            { class: kind, title: `${i + 1}. ${data.names[i]} against ${j + 1}. ${data.names[j]}: ${words}` },
            `${text < 0 ? "−" : text > 0 ? "+" : ""}${Math.abs(text)}`,
            kind === "even" ? null : el("span", { class: "mark" }, kind === "up" ? " ▲" : " ▼"),
            kind === "even" ? null : el("span", { class: "vh" }, words),
          );
          cell.addEventListener("click", () => choose([i, j]));
          return cell;
        });
        const name = el("th", { scope: "row", title: data.names[i] }, `${i + 1} `, el("bdi", {}, data.short[i]));
        return el("tr", {}, name, ...cells);
      });
      const caption = el("caption", { class: "vh" }, `${NDCG} of each row minus that of each other row`);
      const scroll = el(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Every pair of rows" },
        el("table", {}, caption, el("thead", {}, head), el("tbody", {}, ...lines)),
      );
      const hidden = rows.filter((row) => !row.hidden).length - shown.length;
      box.replaceChildren(scroll, hidden > 0 ? el("p", { class: "note" }, `The first ${MATRIX} rows; filter for others.`) : "");
    }

    // -- two rows

    const dock = section.querySelector(".dock");
    const boxes = rows.map((row) => row.querySelector(".pick input"));

    function choose(chosen) {
      state.chosen = chosen.slice(-2);
      rows.forEach((row, number) => {
        if (boxes[number]) boxes[number].checked = state.chosen.includes(number);
        row.classList.toggle("chosen", state.chosen.includes(number));
      });
      showComparison();
    }

    boxes.forEach((box, number) =>
      box?.addEventListener("change", () =>
        choose(box.checked ? [...state.chosen, number] : state.chosen.filter((one) => one !== number)),
      ),
    );

    const called = (number) => [`${number + 1}. `, el("bdi", {}, data.names[number])];

    async function showComparison() {
      const asked = state.chosen;
      dock.hidden = !asked.length;
      if (!asked.length) return;
      const clear = el("button", { type: "button" }, "Clear");
      clear.addEventListener("click", () => choose([]));
      if (asked.length < 2) {
        dock.replaceChildren(el("p", {}, ...called(asked[0]), " is chosen. Tick a second row to compare it with."), clear);
        return;
      }
      const [a, b] = asked;
      dock.replaceChildren(el("p", {}, "Comparing…"));
      try {
        const [more, sumsA, sumsB] = await Promise.all([
          rest(),
          ...asked.map((number) => load(data.values[number], data.runs[number])),
        ]);
        if (state.chosen !== asked) return; // somebody has chosen others meanwhile
        const swap = el("button", { type: "button" }, "Swap");
        swap.addEventListener("click", () => choose([b, a]));
        const result = compare(
          numbers(sumsA, Float64Array),
          numbers(sumsB, Float64Array),
          numbers(more.counts, Float64Array),
        );
        dock.replaceChildren(...comparison(a, b, result, numbers(more.tests, Float32Array)), el("p", { class: "buttons" }, swap, clear));
      } catch (error) {
        dock.replaceChildren(el("p", {}, error.message), clear);
      }
    }

    function comparison(a, b, result, tests) {
      const at = 4 * place(Math.min(a, b), Math.max(a, b));
      const [, holm, low, high] = tests.slice(at, at + 4);
      const two = a < b ? [low, high] : [-high, -low];
      const shown = markOf(a, b) !== "=";
      const interval = result.interval ? `${signed(result.interval[0])} to ${signed(result.interval[1])}` : "none with one user";
      const facts = [
        ["95 % over users", interval],
        ["permutation p", pText(result.p)],
        ["users higher, equal, lower", `${result.higher}, ${result.equal}, ${result.lower}`],
        ["mean over users", signed(result.byUser)],
      ];
      const list = el("dl", {}, ...facts.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text))));
      const wide = result.interval ? [Math.min(0, result.interval[0]), Math.max(0, result.interval[1])] : null;
      return [
        el("h3", {}, ...called(a), el("span", { class: "minus" }, " minus "), ...called(b)),
        el(
          "p",
          { class: "result" },
          el("b", { class: "difference", "data-exact": String(result.difference) }, signed(result.difference)),
          el("span", { class: "quiet" }, ` ${NDCG}`),
          wide ? bar(wide, result.interval, result.difference, [], true) : "",
        ),
        list,
        el(
          "p",
          { class: "note" },
          `One comparison by itself, not corrected, computed in your browser from the values of ${counted(data.users, "user")} ` +
            "averaged over seeds (9,999 draws, fixed seed). Whoever looks at several pairs must correct for all of them: ",
          el("strong", {}, `on this page p (Holm) is ${pText(holm)}`),
          ` over ${counted(data.pairs, "pair")}, the interval over users and seeds ${signed(two[0])} to ${signed(two[1])}: ` +
            `${shown ? "a difference is shown" : "no difference is shown"}.`,
        ),
      ];
    }

    drawMetrics([`m:${NDCG}`]);
    drawDifferences();
    separate();
    filter();
  }

  // ---- text to copy --------------------------------------------------------------------------------------------------

  function copyButton(button) {
    const text = button.parentElement.querySelector("pre");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text); // no clipboard here: the text is at least selected
        button.textContent = "Selected";
      }
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    themeButton(document.getElementById("theme"));
    all(".testset").forEach(testSet);
    all("button.copy").forEach(copyButton);
    root.classList.add("ready");
  });

  // print what is folded, too
  addEventListener("beforeprint", () => all("details").forEach((one) => (one.open = true)));

  window.recbench = { put, compare };
})();
