/** Opens a link in the browser of whoever is here; false where none can be started. */
export async function openInBrowser(link: string): Promise<boolean> {
  const { default: open } = await import('open')
  return open(link).then(
    () => true,
    () => false,
  )
}
