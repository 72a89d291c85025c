# Homebrew; the archives are those of `make dist`, in the checkout that this file lies in.
class Ipjob < Formula
  desc "Ready ipyparallel clusters with Jupyter, here or in Slurm jobs"
  version "0.1.0"
  license any_of: ["MIT", "Apache-2.0"]

  archives = "file://#{File.expand_path("../../dist", __dir__)}/ipjob-#{version}"

  on_macos do
    on_arm do
      url "#{archives}-aarch64-macos.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "#{archives}-x86_64-macos.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
  end

  on_linux do
    on_arm do
      url "#{archives}-aarch64-linux.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "#{archives}-x86_64-linux.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
  end

  def install
    prefix.install "bin", "share"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/ipjob --version")
  end
end
