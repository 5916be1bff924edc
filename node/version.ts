/** The version of this package; `test/cli` holds it against package.json, which is not there to be read once built. */
export const version = '0.1.0'
