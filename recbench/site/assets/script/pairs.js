// Pairs of rows: the matrix of all of them, and the comparison of two.

const MATRIX = 30; // rows of the matrix: a person reads no more

// where the pair of rows i < j stands among all pairs
function place(board, i, j) {
  return i * board.rows.length - (i * (i + 1)) / 2 + (j - i - 1);
}

function markOf(board, i, j) {
  const { marks } = board.data;
  return i < j ? marks[place(board, i, j)] : { ">": "<", "<": ">", "=": "=" }[marks[place(board, j, i)]];
}

// ---- every pair

function matrixCell(board, i, j) {
  if (i === j) return el("td", { class: "self" }, "·");
  const { names, view } = board.data;
  const kind = { ">": "up", "<": "down", "=": "even" }[markOf(board, i, j)];
  const words = { up: "shown to be higher", down: "shown to be lower", even: "no difference shown" }[kind];
  const mean = (number) => view.rows[number].m[NDCG][0];
  const text = Math.round((mean(i) - mean(j)) * 1e4);
  const cell = el(
    "td",
    { class: kind, title: `${i + 1}. ${names[i]} against ${j + 1}. ${names[j]}: ${words}` },
    `${text < 0 ? "−" : text > 0 ? "+" : ""}${Math.abs(text)}`,
    kind === "even" ? null : el("span", { class: "mark" }, kind === "up" ? " ▲" : " ▼"),
    kind === "even" ? null : el("span", { class: "vh" }, words),
  );
  cell.addEventListener("click", () => choose(board, [i, j]));
  return cell;
}

function drawMatrix(board) {
  const box = board.section.querySelector(".matrix");
  if (!box) return;
  const { names, short } = board.data;
  const fitting = [...board.rows.keys()].filter((number) => !board.rows[number].hidden);
  const shown = fitting.slice(0, MATRIX);
  const heads = shown.map((j) => el("th", { scope: "col", title: names[j] }, String(j + 1)));
  const lines = shown.map((i) => {
    const name = el("th", { scope: "row", title: names[i] }, `${i + 1} `, el("bdi", {}, short[i]));
    return el("tr", {}, name, ...shown.map((j) => matrixCell(board, i, j)));
  });
  const caption = el("caption", { class: "vh" }, `${NDCG} of each row minus that of each other row`);
  const head = el("thead", {}, el("tr", {}, el("td"), ...heads));
  const scroll = el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Every pair of rows" },
    el("table", {}, caption, head, el("tbody", {}, ...lines)),
  );
  const cut = fitting.length > MATRIX;
  box.replaceChildren(scroll, cut ? el("p", { class: "note" }, `The first ${MATRIX} rows; filter for others.`) : "");
}

// ---- two rows

function choose(board, chosen) {
  board.chosen = chosen.slice(-2);
  board.rows.forEach((row, number) => {
    const box = board.boxes[number];
    if (box) box.checked = board.chosen.includes(number);
    row.classList.toggle("chosen", board.chosen.includes(number));
  });
  showComparison(board);
}

function listenToBoxes(board) {
  board.boxes.forEach((box, number) =>
    box?.addEventListener("change", () =>
      choose(board, box.checked ? [...board.chosen, number] : board.chosen.filter((one) => one !== number)),
    ),
  );
}

const called = ({ data }, number) => [`${number + 1}. `, el("bdi", {}, data.names[number])];

function chooseButton(board, text, chosen) {
  const button = el("button", { type: "button" }, text);
  button.addEventListener("click", () => choose(board, chosen));
  return button;
}

async function showComparison(board) {
  const { chosen, data, dock } = board;
  dock.hidden = !chosen.length;
  if (!chosen.length) return;
  const clear = chooseButton(board, "Clear", []);
  const [a, b] = chosen;
  if (chosen.length < 2) {
    const hint = " is chosen. Tick a second row to compare it with.";
    dock.replaceChildren(el("p", {}, ...called(board, a), hint), clear);
    return;
  }
  dock.replaceChildren(el("p", {}, "Comparing…"));
  try {
    const [more, ...sums] = await Promise.all([
      rest(board),
      ...chosen.map((number) => load(data.values[number], data.runs[number])),
    ]);
    if (board.chosen !== chosen) return; // somebody has chosen others meanwhile
    const result = compare(...[...sums, more.counts].map((packed) => numbers(packed, Float64Array)));
    const buttons = el("p", { class: "buttons" }, chooseButton(board, "Swap", [b, a]), clear);
    dock.replaceChildren(...comparison(board, a, b, result, numbers(more.tests, Float32Array)), buttons);
  } catch (error) {
    dock.replaceChildren(el("p", {}, error.message), clear);
  }
}

function comparison(board, a, b, result, tests) {
  const { difference, interval } = result;
  const wide = interval ? [Math.min(0, interval[0]), Math.max(0, interval[1])] : null;
  return [
    el("h3", {}, ...called(board, a), el("span", { class: "minus" }, " minus "), ...called(board, b)),
    el(
      "p",
      { class: "result" },
      el("b", { class: "difference", "data-exact": String(difference) }, signed(difference)),
      el("span", { class: "quiet" }, ` ${NDCG}`),
      wide ? bar(wide, interval, difference, [], true) : "",
    ),
    facts(result),
    caution(board, a, b, tests),
  ];
}

function facts({ p, interval, higher, equal, lower, byUser }) {
  const pairs = [
    ["95 % over users", interval ? `${signed(interval[0])} to ${signed(interval[1])}` : "none with one user"],
    ["permutation p", pText(p)],
    ["users higher, equal, lower", `${higher}, ${equal}, ${lower}`],
    ["mean over users", signed(byUser)],
  ];
  return el("dl", {}, ...pairs.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text))));
}

// what the one comparison is not, and the test that holds among all pairs
function caution(board, a, b, tests) {
  const at = 4 * place(board, Math.min(a, b), Math.max(a, b));
  const [other, holm, low, high] = tests.slice(at, at + 4);
  const two = a < b ? [low, high] : [-high, -low];
  const shown = markOf(board, a, b) !== "=";
  return el(
    "p",
    { class: "note" },
    "One comparison by itself, not corrected, computed in your browser from the values of " +
      `${counted(board.data.users, "user")} averaged over seeds (9,999 draws, fixed seed). ` +
      "Whoever looks at several pairs must correct for all of them: ",
    `p over users and seeds is ${pText(other)}; `,
    el("strong", {}, `on this page the larger p, after Holm, is ${pText(holm)}`),
    ` over ${counted(board.data.pairs, "pair")}, the interval over users and seeds ` +
      `${signed(two[0])} to ${signed(two[1])}: ${shown ? "a difference is shown" : "no difference is shown"}.`,
  );
}
