// What the theme leaves out: a name for its search dialog, and tables and code that a keyboard can scroll.
function complete() {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
    const scrolls = box.scrollWidth > box.clientWidth;
    if (!scrolls) { box.removeAttribute("tabindex"); box.removeAttribute("role"); continue; }
    box.setAttribute("tabindex", "0");
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", box.tagName === "CODE" ? "Code" : "Table");
  }
}
document.addEventListener("DOMContentLoaded", () => {
  complete();
  new ResizeObserver(complete).observe(document.body);
});
