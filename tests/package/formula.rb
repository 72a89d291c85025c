# formula.rb CHECKOUT PREFIX: installs the archive by Homebrew's formula, with a stand-in for what Homebrew gives to it.
require "digest"
require "tmpdir"

CHECKOUT, PREFIX = ARGV

class Formula
  class << self
    %i[desc license test].each { |name| define_method(name) { |*_| } }
    def version(value = nil) = value ? @version = value : @version
    def on_macos = nil
    def on_linux = yield
    def on_arm = (yield if ENV["MACHINE"] == "aarch64")
    def on_intel = (yield if ENV["MACHINE"] == "x86_64")
    def url(value = nil) = value ? @url = value : @url
    def sha256(value = nil) = value ? @sha256 = value : @sha256
  end

  # Homebrew's Pathname, of which the formula uses this.
  def prefix
    Class.new { def install(*names) = system("mkdir", "-p", PREFIX) && system("cp", "-R", *names, PREFIX) || abort("not copied") }.new
  end
end

load File.join(CHECKOUT, "packaging/homebrew/ipjob.rb")
archive = Ipjob.url.delete_prefix("file://")
found = Digest::SHA256.file(archive).hexdigest
abort "#{archive} has checksum #{found}, the formula #{Ipjob.sha256}" unless found == Ipjob.sha256
Dir.mktmpdir do |work|
  system("tar", "-C", work, "--strip-components=1", "-xzf", archive) || abort("not unpacked")
  Dir.chdir(work) { Ipjob.new.install }
end
exec(File.join(PREFIX, "bin/ipjob"), "--version")
