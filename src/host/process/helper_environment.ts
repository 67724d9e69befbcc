/**
 * The environment of the small programs that dewy uses, such as `tee`. Some outlive dewy, and some run as the app's
 * user, who can read the environment of its processes: it has none of dewy's secrets.
 */
export function helperEnvironment(): NodeJS.ProcessEnv {
  const { PATH } = process.env;
  return PATH === undefined ? {} : { PATH };
}
