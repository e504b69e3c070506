// Light and dark.

const THEME = "recbench-theme";

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
