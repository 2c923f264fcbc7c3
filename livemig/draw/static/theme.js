// The stage's themes are JupyterLab's, by an attribute of the body; here the system's setting decides.
{
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => (document.body.dataset.jpThemeLight = String(!dark.matches));
  dark.addEventListener("change", theme);
  theme();
}
