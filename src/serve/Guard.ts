/**
 * Who may ask, and what a browser may do with what it gets.
 *
 * The rules. Where there is no token, the `Host` of a request is an address, `localhost` or a name of this machine: a
 * foreign name that points here is how a web page of somebody else's would get at it (DNS rebinding). Where a token is
 * needed, it comes once in the address (`?token=`), and from then on in a cookie that no script can read; or as
 * `Authorization: Bearer`. It is compared in constant time. Pages of other sites get nothing, whatever the browser sends
 * along. What a page may load is its own script, style and pictures, and it talks to this server only.
 *
 * @since 0.5.0
 */
import * as Crypto from "node:crypto"
import * as Net from "node:net"

// -----------------------------------------------------------------------------
// Host
// -----------------------------------------------------------------------------

/**
 * Whether a `Host` header names this server: an IP address, localhost, or one of the names.
 *
 * @category host
 * @since 0.5.0
 */
export const isOurs = (host: string | undefined, names: ReadonlySet<string>): boolean => {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host ?? "")
  if (match === null) return false
  const [, six, other = ""] = match
  if (six !== undefined) return Net.isIPv6(six)
  const name = other.toLowerCase().replace(/\.$/, "")
  return Net.isIPv4(name) || name === "localhost" || name.endsWith(".localhost") || names.has(name)
}

/**
 * Whether an address to listen on can be reached from this machine only.
 *
 * @category host
 * @since 0.5.0
 */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (Net.isIPv4(host) && host.startsWith("127."))

// -----------------------------------------------------------------------------
// Token
// -----------------------------------------------------------------------------

/**
 * A token nobody guesses.
 *
 * @category token
 * @since 0.5.0
 */
export const randomToken = (): string => Crypto.randomBytes(24).toString("base64url")

/**
 * Whether two texts are the same, in a time that says nothing of where they differ.
 *
 * @category token
 * @since 0.5.0
 */
export const same = (a: string, b: string): boolean => {
  const digest = (text: string): Buffer => Crypto.createHash("sha256").update(text).digest()
  return Crypto.timingSafeEqual(digest(a), digest(b))
}

/**
 * Whether a request has the token, in its cookie or its `Authorization`.
 *
 * @category token
 * @since 0.5.0
 */
export const hasToken = (
  token: string,
  port: number,
  { authorization, cookie }: { readonly authorization?: string | undefined; readonly cookie?: string | undefined }
): boolean => {
  if (authorization?.startsWith("Bearer ") === true && same(authorization.slice(7), token)) return true
  return (cookie ?? "").split(";").some((one) => {
    const at = one.indexOf("=")
    return at > 0 && one.slice(0, at).trim() === cookieName(port) && same(one.slice(at + 1).trim(), token)
  })
}

/**
 * The cookie that keeps a token. Cookies are shared by all ports of a host, so each has a name of its own.
 *
 * @category token
 * @since 0.5.0
 */
export const cookieOf = (token: string, port: number): string =>
  `${cookieName(port)}=${token}; HttpOnly; SameSite=Strict; Path=/`

const cookieName = (port: number): string => `ezpz-stream-${port}`

// -----------------------------------------------------------------------------
// Headers
// -----------------------------------------------------------------------------

/**
 * Whether a browser says that another site's page asks. Following a link to the page itself is allowed.
 *
 * @category headers
 * @since 0.5.0
 */
export const isForeign = (site: string | undefined, path: string): boolean =>
  site !== undefined && site !== "same-origin" && site !== "none" && path !== "/"

/**
 * What every answer carries.
 *
 * @category headers
 * @since 0.5.0
 */
export const headers: Readonly<Record<string, string>> = {
  "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
    "require-trusted-types-for 'script'; trusted-types 'none'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY"
}

/**
 * For a file of a run: whatever is in it, it is no page.
 *
 * @category headers
 * @since 0.5.0
 */
export const fileHeaders: Readonly<Record<string, string>> = {
  ...headers,
  "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'"
}
