/** The version of the package, which the build keeps in step with package.json. */
export const version = "0.1.0"
