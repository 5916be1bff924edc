/**
 * A process with a browser that looks at the page of a peer until its parent lets go: arguments are the browser and the link. Tells its parent how
 * often it has asked.
 */
import { chromium } from 'playwright-core'

const [executablePath = '', link = ''] = process.argv.slice(2)
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
process.once('disconnect', () => void browser.close().then(() => process.exit()))
const page = await browser.newPage()
let asked = 0
page.on('requestfinished', () => {
  if (process.connected) process.send?.(++asked)
})
await page.goto(link)
