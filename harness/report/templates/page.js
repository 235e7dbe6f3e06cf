"use strict";
// Tables sort by the column whose head is pressed; pressed again, the other way round. Rows at the foot stay.
for (const table of document.querySelectorAll(".scroll table")) {
  const heads = [...table.querySelectorAll("tr.heads th")];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      const rows = [...table.tBodies[0].rows].map((row) => [row.cells[column].dataset.order, row]);
      const numeric = head.classList.contains("n");
      rows.sort(([a], [b]) => (numeric ? a - b : a.localeCompare(b, "en", { numeric: true })) * (ascending ? 1 : -1));
      table.tBodies[0].append(...rows.map(([, row]) => row));
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    });
  });
}
// A table that is cut shows that it goes on.
for (const box of document.querySelectorAll(".scroll")) {
  const look = () => {
    box.classList.toggle("wide", box.scrollWidth > box.clientWidth + 1);
    box.classList.toggle("more", box.scrollWidth - box.clientWidth - box.scrollLeft > 1);
  };
  new ResizeObserver(look).observe(box);
  box.addEventListener("scroll", look);
}
// What is folded away is printed too.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((one) => (one.open = true));
});
addEventListener("afterprint", () => opened.forEach((one) => (one.open = false)));
