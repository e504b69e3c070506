// What every page does, and what the outside sees of the script.

root.classList.add("scripted");

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

// files of data call put; the tests call compare
window.recbench = { put, compare };
