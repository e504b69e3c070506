// The table of a test set: its cells, order, rows, parts and columns.

// everything that the functions of a test set share; view, part and chosen change
function readBoard(section) {
  const table = section.querySelector("table.board");
  const data = JSON.parse(section.querySelector(".board-data").textContent);
  const rows = [...table.tBodies[0].rows];
  return {
    section,
    data,
    table,
    heads: [...table.tHead.rows[0].cells],
    rows,
    search: section.querySelector(".filter"),
    selects: all("select[data-of]", section),
    count: section.querySelector(".count"),
    dock: section.querySelector(".dock"),
    boxes: rows.map((row) => row.querySelector(".pick input")),
    view: data.view, // what the cells show: all cases, or one part of them
    part: 0, // its number among the buttons
    chosen: [], // the rows to compare, two at most
  };
}

const columnOf = (board, name) => board.heads.findIndex((head) => head.dataset.c === name);

// what a page holds back until somebody asks for it: the parts, and the tests of every pair
const rest = ({ data }) => load(data.file, `../${data.file.replace(/^\.\.\//, "")}`);

// ---- cells

// the page comes with the numbers of all cases, and without bars
function drawMetric(board, name) {
  const column = columnOf(board, name);
  const scale = name === `m:${NDCG}` ? scaleOf(board.view.rows.filter(Boolean).map(intervalOf), []) : null;
  board.rows.forEach((row, number) => {
    const seen = board.view.rows[number];
    const known = seen?.m[name.slice(2)];
    const cell = row.cells[column];
    if (!known) {
      delete cell.dataset.v;
      cell.replaceChildren("–");
      return;
    }
    const [mean, sd] = known;
    cell.dataset.v = mean;
    cell.replaceChildren(el("b", {}, figure(mean)), el("small", {}, sd === null ? "" : `±${figure(sd)}`));
    if (scale) drawInterval(cell, seen, scale);
  });
}

// a row without an interval takes no more room than its mean
const intervalOf = (seen) => (seen.i[0] === null ? [seen.m[NDCG][0], seen.m[NDCG][0]] : seen.i);

function drawInterval(cell, { m: metrics, i: interval, s: seeds }, scale) {
  const known = interval[0] !== null;
  const said = known ? `95 %: ${figure(interval[0])} to ${figure(interval[1])}` : "no interval";
  cell.append(bar(scale, known ? interval : null, metrics[NDCG][0], seeds.length > 1 ? seeds : [], false));
  cell.append(el("span", { class: "vh" }, said));
  cell.title = `${said}; seeds ${seeds.map(figure).join(", ")}`;
}

function drawDifferences(board) {
  const column = columnOf(board, "vs best");
  const known = board.data.best.filter(Boolean);
  if (column < 0 || !known.length) return;
  const scale = scaleOf(known.map((d) => d.slice(1)), [0]);
  board.rows.forEach((row, number) => {
    const best = board.data.best[number];
    if (best) row.cells[column].append(bar(scale, best.slice(1), best[0], [], true));
  });
}

// ---- order

const sortedHead = (board) => board.heads.find((head) => head.hasAttribute("aria-sort"));

function sortBy(board, head, direction) {
  const column = board.heads.indexOf(head);
  const ranked = head.classList.contains("n");
  const sign = direction === "ascending" ? 1 : -1;
  const value = (row) => row.cells[column].dataset.v;
  const order = [...board.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return sign * (ranked ? x - y : x.localeCompare(y)) || a.dataset.row - b.dataset.row;
  });
  board.heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", direction);
  board.table.tBodies[0].append(...order);
  separate(board);
}

// lines between the groups make sense only where the rows stand in the order of the groups
function separate(board) {
  const head = sortedHead(board);
  const whole = board.part === 0 && ["rank", "place"].includes(head.dataset.c);
  board.table.classList.toggle("ranked", whole && head.getAttribute("aria-sort") === "ascending");
}

function listenToHeads(board) {
  const other = { ascending: "descending", descending: "ascending" };
  board.heads.forEach((head) => {
    head.querySelector("button")?.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sortBy(board, head, now ? other[now] : head.dataset.first);
    });
  });
}

// ---- rows

// the text that a search looks through
const searched = (board, row) =>
  ["method", "loss", "decoder", "llm"]
    .map((name) => row.cells[columnOf(board, name)]?.textContent ?? "")
    .join(" ")
    .toLowerCase();

function filter(board) {
  const words = (board.search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  board.rows.forEach((row) => {
    const text = searched(board, row);
    const fits =
      words.every((word) => text.includes(word)) &&
      board.selects.every((one) => !one.value || row.dataset[one.dataset.of] === one.value);
    row.hidden = !fits;
  });
  all(".point", board.section).forEach((point) => {
    point.classList.toggle("off", board.rows[point.dataset.row - 1].hidden);
  });
  sayCount(board);
  drawMatrix(board);
}

function sayCount({ count, rows, view, part }) {
  const shown = rows.filter((row) => !row.hidden).length;
  const said = part
    ? ` ${view.name}: ${counted(view.cases, "case")} of ${counted(view.users, "user")}; place and ` +
      "differences stay those of all cases."
    : "";
  count.textContent = rows.length > 1 || said ? `${shown} of ${counted(rows.length, "row")}.${said}` : "";
}

function listenToFilters(board) {
  board.search?.addEventListener("input", () => filter(board));
  board.selects.forEach((one) => one.addEventListener("change", () => filter(board)));
}

// ---- parts of the test set

async function showPart(board, part) {
  try {
    board.view = part ? (await rest(board)).parts[part - 1] : board.data.view;
  } catch (error) {
    board.count.textContent = error.message;
    return;
  }
  board.part = part;
  all(".parts button", board.section).forEach((button) =>
    button.setAttribute("aria-pressed", String(Number(button.dataset.part) === part)),
  );
  const names = board.heads.map((head) => head.dataset.c ?? "").filter((name) => name.startsWith("m:"));
  names.forEach((name) => drawMetric(board, name));
  const head = sortedHead(board);
  sortBy(board, head, head.getAttribute("aria-sort"));
  filter(board);
}

function listenToParts(board) {
  all(".parts button", board.section).forEach((button) =>
    button.addEventListener("click", () => showPart(board, Number(button.dataset.part))),
  );
}

// ---- columns

function listenToColumns(board) {
  all(".columns input", board.section).forEach((box) => {
    const column = columnOf(board, box.value);
    const apply = () => {
      for (const row of [board.table.tHead.rows[0], ...board.rows]) row.cells[column].hidden = !box.checked;
    };
    box.addEventListener("change", apply);
    if (box.value === "decoder" && matchMedia("(max-width: 640px)").matches) {
      box.checked = false; // a phone shows the numbers first
      apply();
    }
  });
}

// the menu of columns closes as menus do
function closeMenus(board) {
  all(".columns", board.section).forEach((menu) => {
    document.addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });
}

function testSet(section) {
  const board = readBoard(section);
  listenToHeads(board);
  listenToFilters(board);
  listenToParts(board);
  listenToColumns(board);
  closeMenus(board);
  listenToBoxes(board);
  drawMetric(board, `m:${NDCG}`);
  drawDifferences(board);
  separate(board);
  filter(board);
}
