//! The page is built by npm, before cargo, into `web/dist`. Without it there is an empty folder, and a server without a
//! page.

fn main() -> std::io::Result<()> {
    std::fs::create_dir_all("web/dist")?;
    println!("cargo:rerun-if-changed=web/dist");
    Ok(())
}
