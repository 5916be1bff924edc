/**
 * A process with a browser that looks at the page of a peer until its parent lets go: arguments are the browser and the link. Tells its parent when
 * it shows the page.
 */
import { chromium } from 'playwright-core'

const [executablePath = '', link = ''] = process.argv.slice(2)
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
process.once('disconnect', () => void browser.close().then(() => process.exit()))
// To draw what moves is work of the browser's machine, which here is that of the peers.
const page = await browser.newPage({ reducedMotion: 'reduce' })
await page.goto(link)
await page.getByTestId('peers').waitFor()
process.send?.('shown')
