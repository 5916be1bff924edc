/** The results as a page that needs nothing else: of each comparison the medians as bars, each round as a dot, and the ratios. */
import { type Figure, figureText, ratioText } from './compare.ts'
import type { Kept } from './kept.ts'

const [width, barHeight, labelWidth, valueWidth] = [760, 22, 150, 110]
/** Where the largest is so many times the smallest, the smaller would be invisible on an even scale. */
const logFrom = 50

const style = `
body { font: 15px/1.45 system-ui, sans-serif; max-width: 800px; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { font-size: 1.1em; margin-top: 2.5em } svg { width: 100% } svg text { font-size: 12px; fill: #333 }
table { border-collapse: collapse; font-size: 13px } td, th { text-align: left; padding: 2px 12px 2px 0; vertical-align: top }
.bar { fill: #b9c6d6 } .ours { fill: #7aa874 } .dot { fill: #333; opacity: .6 } .missed { color: #b00020 } .met { color: #2e6b2e }
@media (prefers-color-scheme: dark) { body { background: #16181b; color: #ddd } svg text { fill: #ccc } .bar { fill: #44566b } .dot { fill: #eee } }`

export function pageOf(all: readonly Kept[]): string {
  const sections = all.map(sectionOf).join('\n')
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Grapevine beside others</title><style>${style}</style>
<h1>Grapevine beside others</h1>
<p>Systems took turns within each round; ratios are taken within a round, and the interval is a bootstrap's over the rounds.</p>
${sections}
</html>
`
}

function sectionOf(compared: Kept): string {
  const { title, figures, rows, ratios, skipped, machine, at, commit } = compared
  const plots = figures.map((figure) => plotOf(compared, figure)).join('\n')
  const lines = rows.map(({ system, version, client, durability, beside }) =>
    row([`${system} ${version}`, client, durability, beside]),
  )
  const notes = ratios.map((ratio) => {
    const mark = ratio.met === undefined ? '' : ratio.met ? ' class="met"' : ' class="missed"'
    return `<li${mark}>${escaped(ratioText(ratio))}</li>`
  })
  const without = skipped.map(({ system, why }) => `<li>${escaped(`${system} is left out: ${why}`)}</li>`)
  const where = `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}`
  return `<h2>${escaped(title)}</h2>
${plots}
<ul>${[...notes, ...without].join('')}</ul>
<details><summary>What was measured</summary><table>${lines.join('')}</table>
<p>${escaped(`${at}, ${commit ?? 'no commit'}; ${where}`)}</p></details>`
}

function plotOf({ rows }: Kept, figure: Figure): string {
  const values = rows.flatMap((row) => (row.figures[figure.name] ?? []).filter((value) => value !== null))
  if (values.length === 0) return ''
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const isLog = least > 0 && most / least > logFrom
  const room = width - labelWidth - valueWidth
  // A logarithmic scale begins at half of the smallest, so that it has a bar too.
  const xOf = (value: number) =>
    labelWidth + room * (isLog ? Math.log(value / (least / 2)) / Math.log(most / (least / 2)) : value / most)
  const bars = rows.map(({ system, figures, medians }, i) => {
    const median = medians[figure.name] ?? Number.NaN
    if (Number.isNaN(median)) return ''
    const middle = i * barHeight + barHeight / 2
    const dots = (figures[figure.name] ?? []).flatMap((value) =>
      value === null ? [] : [`<circle class="dot" cx="${xOf(value).toFixed(1)}" cy="${middle}" r="2"/>`],
    )
    const kind = system.startsWith('grapevine') ? 'bar ours' : 'bar'
    const length = (xOf(median) - labelWidth).toFixed(1)
    return `<text x="0" y="${middle + 4}">${escaped(system)}</text>
<rect class="${kind}" x="${labelWidth}" y="${middle - 7}" width="${length}" height="14"/>${dots.join('')}
<text x="${width - valueWidth + 8}" y="${middle + 4}">${escaped(figureText({ ...figure, name: '' }, median))}</text>`
  })
  const about = `${figure.name}${isLog ? ' (logarithmic scale)' : ''}`.trim()
  const better = figure.better === 'more' ? 'longer is better' : 'shorter is better'
  return `<p>${escaped(about === '' ? better : `${about}: ${better}`)}</p>
<svg viewBox="0 0 ${width} ${rows.length * barHeight}" role="img">${bars.join('')}</svg>`
}

function row(cells: readonly string[]): string {
  return `<tr>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
