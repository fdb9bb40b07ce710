"use strict";
// Without this script every cell is open; with it, one opens when it is asked for.
(() => {
  const cells = [...document.querySelectorAll("details.cell")];
  const headings = [...document.querySelectorAll("h3.cells")];
  const set = (open) => cells.forEach((cell) => { cell.open = open; });

  const button = (text, open) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", () => set(open));
    return made;
  };
  headings.forEach((h) => h.after(button("Open all cells", true), button("Close all", false)));

  const target = () => location.hash && document.getElementById(location.hash.slice(1));
  const show = () => {
    const found = target();
    if (!found || !found.matches("details")) return;
    found.open = true;
    found.scrollIntoView();
    found.querySelector("summary").focus({ preventScroll: true });
  };
  const back = (cell) => {
    const link = document.querySelector(`td a[href="#${cell.id}"]`);
    if (link) link.focus();
  };

  set(false);
  show();
  addEventListener("hashchange", show);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.hash === location.hash) show();
  });
  document.addEventListener("keydown", (event) => {
    const cell = event.key === "Escape" && document.activeElement.closest("details.cell");
    if (cell) back(cell);
  });
})();
