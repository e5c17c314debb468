/**
 * The script of the page. It fetches the page every two seconds while the tab is visible, and changes only what differs, so that
 * focus, selection, scroll position and typed text stay. Elements with a `data-id` are matched by it, and the focus moves along.
 */
export const CLIENT = `
(() => {
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  let paused = false, timer, since = new Date();
  const report = (text) => { if (live.textContent !== text) live.textContent = text; };
  const idOf = (node) => node.nodeType === 1 ? node.getAttribute("data-id") : null;
  const isLike = (a, b) => a.nodeName === b.nodeName && idOf(a) === idOf(b);
  function morph(from, to) {
    if (from.nodeType !== 1) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name)) from.removeAttribute(name);
    for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    const known = new Map([...from.children].map((child) => [idOf(child), child]));
    let next = from.firstChild;
    for (const child of [...to.childNodes]) {
      const id = idOf(child);
      const same = id !== null ? known.get(id) : next && isLike(next, child) ? next : undefined;
      if (same && isLike(same, child)) {
        if (same === next) next = next.nextSibling;
        else from.insertBefore(same, next);
        morph(same, child);
      } else from.insertBefore(child, next);
    }
    while (next) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
  }
  async function refresh() {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    try {
      const response = await fetch(location.href, { redirect: "error", signal: AbortSignal.timeout(10000) });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const next = page.querySelector("main#main");
      if (!response.ok || !next) throw new Error(response.statusText);
      if (paused) return;
      const focused = document.activeElement;
      morph(document.getElementById("main"), next);
      document.title = page.title;
      if (document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
      since = new Date();
      report("Live");
    } catch {
      report("No answer since " + since.toLocaleTimeString() + ": what is shown may be old");
    }
    clearTimeout(timer);
    timer = setTimeout(refresh, 2000);
  }
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    report(paused ? "Paused" : "Live");
    refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  report("Live");
  timer = setTimeout(refresh, 2000);
})();
`;
