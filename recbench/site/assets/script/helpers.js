// Elements and numbers as the other parts write them.

const root = document.documentElement;
const SVG = "http://www.w3.org/2000/svg";
const NDCG = "NDCG@10";

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
const pText = (p) => (p < 0.001 ? "< 0.001" : p.toFixed(p.toFixed(3) === "0.050" ? 4 : 3));
const counted = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
