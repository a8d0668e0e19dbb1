/** The version of the package: package.json's, which a test holds it to. */
export const version = "0.5.2"
