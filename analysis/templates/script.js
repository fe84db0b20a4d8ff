// Sorting and filtering of the findings table; the page is complete without it.
(function () {
  "use strict";
  var table = document.getElementById("findings-table"), form = document.querySelector(".filters");
  if (!table || !form) { return; }
  var rows = Array.prototype.slice.call(table.tBodies), heads = table.tHead.rows[0].cells;
  var names = ["verdict", "area", "target"];

  function filter() {
    var shown = 0;
    rows.forEach(function (row) {
      row.hidden = !names.every(function (name) {
        var wanted = form.elements[name].value;
        return wanted === "" || row.dataset[name] === wanted;
      });
      shown += row.hidden ? 0 : 1;
    });
    form.querySelector("output").textContent = shown + " / " + rows.length;
  }

  function key(row, column) {
    var cell = row.rows[0].cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") { return a - b; }
    if (typeof a !== typeof b) { return typeof a === "number" ? -1 : 1; }
    return a.localeCompare(b, undefined, { numeric: true });
  }

  function sort(column) {
    var falling = heads[column].getAttribute("aria-sort") === "ascending" ? -1 : 1;
    Array.prototype.forEach.call(heads, function (head) { head.removeAttribute("aria-sort"); });
    heads[column].setAttribute("aria-sort", falling === 1 ? "ascending" : "descending");
    rows.map(function (row, index) { return { row: row, key: key(row, column), index: index }; })
      .sort(function (a, b) { return falling * compare(a.key, b.key) || a.index - b.index; })
      .forEach(function (item) { table.appendChild(item.row); });
  }

  Array.prototype.forEach.call(heads, function (head, column) {
    if (head.dataset.sort === undefined) { return; }
    head.tabIndex = 0;
    head.addEventListener("click", function () { sort(column); });
    head.addEventListener("keydown", function (event) {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(column); }
    });
  });
  form.addEventListener("change", filter);
  form.hidden = false;
  filter();
})();
