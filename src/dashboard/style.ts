/** How pages look, on light and dark screens, from 320 px up. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #fff; --line: #d8dde5; --soft: #eef1f5;
  --text: #1a2230; --quiet: #556172; --link: #1d4fc4; --bar: #4a7bea;
  --good: #14683f; --warn: #835300; --bad: #b3211a; --bad-card: #fdeceb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f131a; --card: #171d27; --line: #2d3645; --soft: #1f2733;
    --text: #e5eaf1; --quiet: #a2aebf; --link: #8fb6ff; --bar: #5b8bf2;
    --good: #62d39c; --warn: #f0bf63; --bad: #ff958c; --bad-card: #33191a;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 0 1.25rem 3rem; max-width: 76rem; background: var(--page); color: var(--text);
  font: 0.9375rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
a { color: var(--link); text-underline-offset: 0.15em; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px; }
main:focus { outline: none; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.skip { position: absolute; left: 1rem; top: -5rem; padding: 0.5rem 1rem; background: var(--card); z-index: 1; }
.skip:focus { top: 0.5rem; }
header { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; align-items: center; justify-content: space-between;
  padding: 0.75rem 0; border-bottom: 1px solid var(--line); }
header p { margin: 0; }
.brand a { color: inherit; font-weight: 650; text-decoration: none; }
.live { display: flex; gap: 0.75rem; align-items: center; color: var(--quiet); }
h1 { margin: 1.5rem 0 1rem; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 0 0 0.75rem; font-size: 1.0625rem; }
section { margin: 1rem 0 0; padding: 1rem 1.25rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section > :last-child { margin-bottom: 0; }
p { max-width: 46rem; overflow-wrap: anywhere; }
.quiet, .axis, figcaption span, dt { color: var(--quiet); }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.good, .warn, .bad { font-weight: 600; }
.alert { padding: 0.75rem 1rem; max-width: none; background: var(--bad-card); border: 1px solid; border-radius: 10px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1rem; margin: 0; }
.tiles > *, figure { margin: 0; padding: 0.75rem 1.25rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tiles dd { margin: 0; font-size: 1.75rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tiles small { display: block; font-size: 0.8125rem; font-weight: 400; color: var(--quiet); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); gap: 1rem; margin-top: 1rem; }
figcaption { margin-bottom: 0.5rem; } figcaption span { display: block; font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; height: 3.5rem; border-bottom: 1px solid var(--line); }
rect { fill: var(--bar); }
.axis { display: flex; justify-content: space-between; margin: 0.25rem 0 0; font-size: 0.75rem; max-width: none; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.5rem; color: var(--quiet); }
th, td { padding: 0.5rem 1rem 0.5rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { border-top: 0; padding-top: 0; font-size: 0.8125rem; font-weight: 600; color: var(--quiet); white-space: nowrap; }
tbody th { font-weight: 500; }
.wide thead th:first-child { width: 42%; } .wide thead .number { width: 1%; }
tr > :last-child { padding-right: 0; }
.lead { font-size: 1.0625rem; }
.number { text-align: right; white-space: nowrap; }
.facts th { width: 11rem; color: var(--quiet); font-weight: 400; }
form { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: end; margin-bottom: 1rem; }
label { flex: 1 1 14rem; max-width: 30rem; color: var(--quiet); font-size: 0.8125rem; }
input, button { padding: 0.375rem 0.75rem; font: inherit; color: var(--text); background: var(--card); border: 1px solid var(--quiet); border-radius: 6px; }
input { display: block; width: 100%; font-size: 0.9375rem; } button { cursor: pointer; } button:hover { background: var(--soft); }
[aria-pressed="true"] { background: var(--text); color: var(--card); }
nav { display: flex; gap: 1.25rem; margin-top: 1rem; }
ul { padding-left: 1.25rem; max-width: 46rem; } li { overflow-wrap: anywhere; }
@media (max-width: 44rem) {
  body { padding: 0 0.875rem 2rem; }
  section { padding: 0.875rem; }
  .tiles { gap: 0.625rem; grid-template-columns: repeat(3, 1fr); }
  .tiles > * { padding: 0.5rem 0.625rem; }
  .wide, .wide :is(caption, tbody) { display: block; }
  .wide thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .wide tbody tr { display: flex; flex-wrap: wrap; gap: 0.125rem 1rem; padding: 0.625rem 0; border-top: 1px solid var(--line); }
  .wide tbody :is(th, td) { padding: 0; border: 0; flex: 0 0 100%; }
  .wide tbody td { order: 1; } .wide tbody .number { flex: none; order: 2; }
  .wide td::before { content: attr(data-label) " "; font-weight: 400; color: var(--quiet); }
  .facts th { width: 38%; }
  label { flex-basis: 100%; max-width: none; }
}
`;
